// Start reveal.js when the formulas have their size, and shrink what is higher than a slide.
const fit = (slide) => {
  if (!slide || slide.dataset.fitted) return;
  slide.dataset.fitted = "yes";
  const { height, width } = Reveal.getConfig();
  const factor = Math.min(1, (height * 0.96) / slide.scrollHeight, width / slide.scrollWidth);
  if (factor < 1) slide.style.zoom = Math.max(factor, 0.5);
};
window.addEventListener("load", async () => {
  await MathJax.startup.promise;
  await Reveal.initialize({
    width: 1200, height: 675, margin: 0.03, center: false, hash: true, slideNumber: "c/t",
    transition: "none", plugins: [RevealNotes],
  });
  fit(Reveal.getCurrentSlide());
  Reveal.on("slidechanged", (event) => fit(event.currentSlide));
});
