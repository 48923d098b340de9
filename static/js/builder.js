// The task designer: keeps the preview fresh, the person's place in the form, and moves questions by keyboard.
(function () {
  "use strict";
  const WAIT_MS = 600;
  let timer = null;
  let scrolled = 0;

  const form = () => document.getElementById("builder");
  const frame = () => document.querySelector("iframe[name=preview]");

  function refresh() {
    clearTimeout(timer);
    const button = document.getElementById("show-preview");
    if (!form() || !button) return;
    try {
      scrolled = frame().contentWindow.scrollY;
    } catch {
      scrolled = 0;
    }
    form().requestSubmit(button);
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(refresh, WAIT_MS);
  }

  function setUp(first) {
    if (!form()) return;
    document.getElementById("show-preview").hidden = true;
    document.querySelectorAll(".preview-widths").forEach((row) => (row.hidden = false));
    const { focus, said } = form().dataset;
    const errors = document.getElementById("builder-errors");
    const target = focus && document.getElementById(focus);
    if (target) {
      target.focus({ focusVisible: true });
      target.scrollIntoView({ block: "nearest" });
    } else if (first && errors) errors.focus();
    if (said) window.plumbline.announce(said);
    refresh();
  }

  document.addEventListener("input", (event) => event.target.closest("#builder") && later());
  document.addEventListener("change", (event) => event.target.closest("#builder") && later());

  // A question that stands open stays open when the form is drawn again.
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches || !event.target.matches("details[data-fold]")) return;
    const item = event.target.closest("li");
    item.querySelector("input[name=opened]").disabled = !event.target.open;
  }, true);

  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
    const step = { ArrowUp: "up", ArrowDown: "down" }[event.key];
    const question = step && event.target.closest && event.target.closest("[data-question]");
    if (!question) return;
    event.preventDefault();
    document.getElementById(`q-${question.dataset.question}-${step}`).click();
  });

  // What is being typed is not lost to a leave by mistake.
  let changed = false;
  document.addEventListener("input", (event) => event.target.closest("#builder") && (changed = true));
  document.addEventListener("submit", (event) => {
    const act = event.submitter && event.submitter.value;
    if (act === "save" || act === "use") changed = false;
  });
  window.addEventListener("beforeunload", (event) => changed && event.preventDefault());

  // A desktop does not fit beside the form: the frame is as wide as one and drawn smaller.
  const WIDTHS = { wide: 1200, phone: 390 };
  let shown = "wide";

  function fit() {
    const place = frame().parentElement;
    const width = WIDTHS[shown];
    const scale = Math.min(1, place.clientWidth / width);
    Object.assign(frame().style, {
      width: `${width}px`,
      height: `${place.clientHeight / scale}px`,
      transform: scale < 1 ? `scale(${scale})` : "none",
    });
  }

  document.addEventListener("click", (event) => {
    const width = event.target.closest("[data-width]");
    if (!width) return;
    shown = width.dataset.width;
    fit();
    document.querySelectorAll("[data-width]").forEach((button) =>
      button.setAttribute("aria-pressed", String(button === width)));
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "builder" || (event.detail.elt && event.detail.elt.id === "builder")) {
      changed = true;
      setUp(false);
    }
  });
  document.addEventListener("DOMContentLoaded", () => {
    frame().addEventListener("load", () => {
      try {
        frame().contentWindow.scrollTo(0, scrolled);
      } catch {
        // Another page stands in the frame; it begins at its top.
      }
    });
    if (window.innerWidth < 640) {
      shown = "phone";
      document.querySelectorAll("[data-width]").forEach((button) =>
        button.setAttribute("aria-pressed", String(button.dataset.width === shown)));
    }
    new ResizeObserver(fit).observe(frame().parentElement);
    setUp(true);
  });
})();
