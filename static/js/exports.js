// The export form shows the options of the chosen format only; without this script it shows all of them.
(function () {
  "use strict";

  const formats = document.querySelector("[data-export-formats]");
  if (!formats) return;
  const options = document.querySelectorAll("[data-for-formats]");

  function show() {
    const chosen = formats.querySelector("input:checked");
    options.forEach((option) => {
      option.hidden = !chosen || !option.dataset.forFormats.split(" ").includes(chosen.value);
    });
  }

  formats.addEventListener("change", show);
  show();
})();
