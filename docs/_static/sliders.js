// Sliders without a kernel: show the picture that was drawn in advance for the sliders' places.
// Pictures are loaded when they are wanted, through <img>, so it works from file:// as well.
document.addEventListener("DOMContentLoaded", () => {
  for (const group of document.querySelectorAll(".sliders")) {
    const picture = group.querySelector("img");
    const inputs = [...group.querySelectorAll("input")];
    const address = (places) => `${group.dataset.frames}-${places.join("-")}.webp`;
    const places = () => inputs.map((input) => Number(input.value));
    const kept = new Map(); // images that were asked for, so that each is loaded once

    const load = (source) => {
      if (!kept.has(source)) {
        const image = new Image();
        image.src = source;
        kept.set(source, image);
      }
      return kept.get(source);
    };

    const neighbours = () => {
      inputs.forEach((input, which) => {
        for (const step of [-1, 1]) {
          const next = places();
          next[which] += step;
          if (next[which] >= 0 && next[which] <= Number(input.max)) load(address(next));
        }
      });
    };

    const show = () => {
      for (const input of inputs) {
        const label = JSON.parse(input.dataset.labels)[input.value];
        input.setAttribute("aria-valuetext", label);
        input.nextElementSibling.value = label;
      }
      const source = address(places());
      const image = load(source);
      const put = () => {
        if (source !== address(places())) return; // the slider has moved on
        picture.src = source;
        group.classList.remove("missing");
        neighbours();
      };
      if (image.complete && image.naturalWidth) put();
      else if (image.complete) group.classList.add("missing"); // it has failed before
      else {
        image.addEventListener("load", put, { once: true });
        image.addEventListener("error", () => group.classList.add("missing"), { once: true });
      }
    };

    for (const input of inputs) {
      input.value = input.defaultValue; // a reload keeps the old place in some browsers
      input.addEventListener("input", show);
      input.addEventListener("focus", neighbours, { once: true });
    }
    group.querySelector(".controls").hidden = false;
  }

  // A fold's own words are its name; the label of the theme is the same for all.
  for (const words of document.querySelectorAll("summary[aria-label]")) words.removeAttribute("aria-label");

  // A chosen answer opens the output and the explanation that follow it.
  for (const choice of document.querySelectorAll("details.choice")) {
    choice.addEventListener("toggle", () => {
      if (!choice.open) return;
      const folds = [...document.querySelectorAll("main details:not(.choice)")].filter(
        (fold) => choice.compareDocumentPosition(fold) & Node.DOCUMENT_POSITION_FOLLOWING,
      );
      const explain = folds.findIndex((fold) => fold.textContent.trim().startsWith("Explain"));
      for (const fold of folds.slice(0, explain + 1)) fold.open = true;
    });
  }
});
