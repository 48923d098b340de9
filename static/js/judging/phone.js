// On a narrow screen: responses as tabs with a swipe, and one question at a time.
(function () {
  "use strict";
  const SWIPE = 60;
  const narrow = window.matchMedia("(max-width: 52rem)");
  let question = 0;
  let start = null;

  const panes = () => Array.from(document.querySelectorAll("#desk [data-pane]"));
  const questions = () => Array.from(document.querySelectorAll("#answer .q:not([hidden])"));

  function showPane(place) {
    const all = panes();
    if (!all.length) return;
    const shown = Math.min(all.length - 1, Math.max(0, place));
    all.forEach((each, index) => each.classList.toggle("is-off", index !== shown));
    document.querySelectorAll("[data-tab]").forEach((tab) =>
      tab.setAttribute("aria-pressed", String(Number(tab.dataset.tab) === shown)));
    if (narrow.matches) document.querySelector(".panes").scrollTop = 0;
  }

  const shownPane = () => panes().findIndex((each) => !each.classList.contains("is-off"));

  function showQuestion(place) {
    const all = questions();
    if (!all.length) return;
    question = Math.min(all.length - 1, Math.max(0, place));
    all.forEach((each, index) => each.classList.toggle("is-off", index !== question));
    document.querySelector("[data-fold-place]").textContent =
      window.plumbline.say("fold_place", { n: question + 1, all: all.length });
    document.querySelector('[data-fold="-1"]').disabled = question === 0;
    document.querySelector('[data-fold="1"]').disabled = question === all.length - 1;
  }

  function setUp() {
    const desk = document.getElementById("desk");
    const tabs = desk && desk.querySelector(".pane-tabs");
    if (tabs) {
      tabs.hidden = false;
      desk.classList.add("has-tabs");
      showPane(0);
    }
    const all = questions();
    if (all.length > 1 && !document.querySelector("#answer .locked")) {
      document.getElementById("answer").classList.add("is-folding");
      document.querySelector(".fold-nav").hidden = false;
      showQuestion(Math.max(0, all.findIndex((each) => each.classList.contains("has-error"))));
    }
  }

  document.addEventListener("click", (event) => {
    const tab = event.target.closest("[data-tab]");
    if (tab) showPane(Number(tab.dataset.tab));
    const fold = event.target.closest("[data-fold]");
    if (fold) showQuestion(question + Number(fold.dataset.fold));
  });

  // A finger that answers goes on to the next question by itself; a keyboard stays where it is.
  document.addEventListener("pointerup", (event) => {
    const field = narrow.matches && event.target.closest("#answer .q :is(.step, .segment, .chip)");
    if (!field || !document.querySelector(".is-folding")) return;
    setTimeout(() => {
      const here = questions()[question];
      const slots = Array.from(here ? here.querySelectorAll("[data-slot]") : []);
      const single = !here || !here.querySelector("input[type=checkbox]");
      if (single && slots.length && slots.every(window.plumbline.isAnswered)) showQuestion(question + 1);
    }, 250);
  });

  // Another question may have come or gone: stay at the one in sight.
  document.addEventListener("plumbline:asked", () => {
    if (!document.querySelector(".is-folding")) return setUp();
    const at = questions().findIndex((each) => !each.classList.contains("is-off"));
    showQuestion(at === -1 ? question : at);
  });
  document.addEventListener("plumbline:pane", (event) => showPane(event.detail));
  document.addEventListener("plumbline:question", (event) => {
    const at = questions().findIndex((each) => each.dataset.q === event.detail);
    if (at !== -1 && document.querySelector(".is-folding")) showQuestion(at);
  });

  document.addEventListener("touchstart", (event) => {
    const inside = event.target.closest(".panes") && !event.target.closest("pre, .table-scroll, .math.block");
    start = inside && event.touches.length === 1 ? event.touches[0] : null;
  }, { passive: true });
  document.addEventListener("touchend", (event) => {
    if (!start || !narrow.matches) return;
    const end = event.changedTouches[0];
    const across = end.clientX - start.clientX;
    if (Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(end.clientY - start.clientY)) {
      showPane(shownPane() + (across < 0 ? 1 : -1));
    }
    start = null;
  }, { passive: true });

  document.addEventListener("DOMContentLoaded", setUp);
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "desk" || (event.detail.elt && event.detail.elt.id === "desk")) setUp();
  });
})();
