// A− and A+: the size of the texts to be read, remembered on this device. Loaded blocking in <head>.
(function () {
  "use strict";
  const KEY = "plumbline.reading";
  const STEPS = [0.85, 0.925, 1, 1.1, 1.25, 1.4, 1.6];
  const USUAL = STEPS.indexOf(1);

  function stored() {
    try {
      const value = STEPS.indexOf(Number(localStorage.getItem(KEY)));
      return value === -1 ? USUAL : value;
    } catch {
      return USUAL;
    }
  }

  let step = stored();

  function apply() {
    document.documentElement.style.setProperty("--reading-scale", String(STEPS[step]));
    document.querySelectorAll("[data-reading-step]").forEach((button) => {
      const after = step + Number(button.dataset.readingStep);
      button.disabled = after < 0 || after >= STEPS.length;
    });
  }

  apply();
  document.addEventListener("DOMContentLoaded", apply);
  document.addEventListener("htmx:afterSettle", apply);

  document.addEventListener("click", function (event) {
    const button = event.target.closest("[data-reading-step]");
    if (!button) return;
    step = Math.min(STEPS.length - 1, Math.max(0, step + Number(button.dataset.readingStep)));
    try {
      localStorage.setItem(KEY, String(STEPS[step]));
    } catch {
      // Without storage the size lasts until the next page.
    }
    apply();
  });
})();
