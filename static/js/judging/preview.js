// The judging page as a preview: everything works, and nothing is timed, kept or sent.
(function () {
  "use strict";
  const nothing = () => {};

  function refuse(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
    document.querySelectorAll(":popover-open").forEach((open) => open.hidePopover());
    window.plumbline.toast(window.plumbline.say("preview"));
  }

  document.addEventListener("submit", refuse, true);
  document.addEventListener("htmx:beforeRequest", (event) => event.preventDefault());

  window.plumbline = Object.assign(window.plumbline || {}, {
    timing: { start: nothing, write: nothing },
    sitting: { position: () => 0, step: () => 0 },
    draft: { start: nothing },
  });
})();
