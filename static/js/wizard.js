// Upload forms refuse a file that is too large before it travels, and say that a large one is on its way;
// invitation links select themselves on focus and are copied by a button.
(function () {
  "use strict";

  document.querySelectorAll("input[type=file][data-max-bytes]").forEach((input) => {
    const error = input.closest(".field").querySelector("[data-file-error]");
    const largest = Number(input.dataset.maxBytes);
    input.addEventListener("change", () => {
      const file = input.files[0];
      const tooLarge = file && file.size > largest;
      error.hidden = !tooLarge;
      error.textContent = tooLarge
        ? `${file.name} has ${Math.ceil(file.size / 1e6)} MB; at most ${Math.floor(largest / 1e6)} MB can be uploaded.`
        : "";
      if (tooLarge) input.value = "";
    });
    input.form.addEventListener("submit", () => {
      const button = input.form.querySelector(".btn-primary");
      if (!input.files.length || !button) return;
      button.textContent = "Uploading…";
      button.setAttribute("aria-disabled", "true");
    });
  });

  document.querySelectorAll("input[data-select]").forEach((input) => {
    input.addEventListener("focus", () => input.select());
    const button = input.parentElement.querySelector("[data-copy]");
    if (!button || !navigator.clipboard) return; // without it the field is there to copy from
    button.hidden = false;
    button.addEventListener("click", () => {
      input.select();
      navigator.clipboard.writeText(input.value).then(() => (button.textContent = "Copied"));
    });
  });
})();
