// A reviewer's form: the answer bar without a lease, so nothing is timed, kept as a draft or undone.
(function () {
  "use strict";
  window.plumbline = Object.assign(window.plumbline || {}, { openUndo: () => false, toggleFold: () => {} });

  document.addEventListener("DOMContentLoaded", () => {
    if (!document.getElementById("answer")) return;
    window.plumbline.setUpBar();
    const wrong = document.querySelector("#answer .q.has-error");
    const field = wrong && wrong.querySelector("textarea, input:checked, input:not([type=hidden])");
    if (field) field.focus({ focusVisible: true });
  });
})();
