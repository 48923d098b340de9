// Light, dark or as the system says. Loaded blocking in <head> so that the first paint is right.
(function () {
  "use strict";
  const KEY = "plumbline.theme";
  const ORDER = ["system", "light", "dark"];

  function stored() {
    try {
      const value = localStorage.getItem(KEY);
      return ORDER.includes(value) ? value : "system";
    } catch {
      return "system";
    }
  }

  function apply(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }

  function label(button, theme) {
    button.textContent = button.dataset[theme];
    button.hidden = false;
  }

  apply(stored());

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("[data-theme-toggle]").forEach((button) => label(button, stored()));
  });

  document.addEventListener("click", function (event) {
    const button = event.target.closest("[data-theme-toggle]");
    if (!button) return;
    const next = ORDER[(ORDER.indexOf(stored()) + 1) % ORDER.length];
    try {
      if (next === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      // Private windows may refuse storage: the choice then lasts until the next page.
    }
    apply(next);
    document.querySelectorAll("[data-theme-toggle]").forEach((each) => label(each, next));
  });
})();
