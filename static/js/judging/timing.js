// How long the item was worked on: active (page in sight and some movement within the last 30 s) and by the clock;
// when it was first touched; and, where the project asks for it, on which part the active time was spent.
(function () {
  "use strict";
  const IDLE_MS = 30000;
  const TICK_MS = 500;
  const MOVES = ["pointermove", "pointerdown", "keydown", "wheel", "touchstart", "scroll"];
  const TOUCHES = ["pointerdown", "keydown", "wheel", "touchstart"];
  let last = performance.now();
  let moved = last;
  let visible = document.visibilityState === "visible";
  let active = 0;
  let wall = 0;
  let changes = 0;
  let first = null;
  let where = "";
  let dwell = {};

  // Everything since the last look, under what was true then: an event first closes the stretch before it.
  function tick() {
    const now = performance.now();
    wall += now - last;
    if (visible) {
      const passed = Math.max(0, Math.min(now, moved + IDLE_MS) - last);
      active += passed;
      if (where) dwell[where] = (dwell[where] || 0) + passed;
    }
    last = now;
  }

  const number = (form, name) => Number(form.elements[name] && form.elements[name].value) || 0;

  function start(form) {
    tick();
    last = performance.now();
    moved = last;
    active = number(form, "active_ms");
    wall = number(form, "wall_ms");
    changes = number(form, "n_changes");
    first = form.elements.first_interaction_ms.value === "" ? null : number(form, "first_interaction_ms");
    dwell = {};
    where = "";
    if (form.elements.dwell) {
      try {
        dwell = JSON.parse(form.elements.dwell.value || "{}");
      } catch {
        dwell = {};
      }
    }
  }

  function write(form) {
    tick();
    const { elements } = form;
    elements.active_ms.value = Math.round(active);
    elements.wall_ms.value = Math.round(wall);
    elements.n_changes.value = changes;
    elements.first_interaction_ms.value = first === null ? "" : Math.round(first);
    elements.viewport.value = `${window.innerWidth}x${window.innerHeight}`;
    elements.page_version.value = document.getElementById("main").dataset.version;
    if (elements.dwell) {
      const whole = Object.entries(dwell).map(([name, ms]) => [name, Math.round(ms)]);
      elements.dwell.value = JSON.stringify(Object.fromEntries(whole));
    }
  }

  // The part an event happened on: the prompt, a response by its letter, or the answer.
  function part(target) {
    if (!target || !target.closest) return "";
    const pane = target.closest("[data-pane]");
    if (pane) return "ABCDEFGH"[Number(pane.dataset.pane)] || "";
    if (target.closest("#prompt")) return "prompt";
    return target.closest("#answer") ? "answer" : "";
  }

  function move(event) {
    tick();
    moved = last;
    if (first === null && TOUCHES.includes(event.type)) first = wall;
    where = part(event.target) || where;
  }

  setInterval(tick, TICK_MS);
  for (const name of [...MOVES, "focusin"]) document.addEventListener(name, move, { passive: true, capture: true });
  document.addEventListener("visibilitychange", () => {
    tick();
    visible = document.visibilityState === "visible";
  });
  // Before htmx or the browser reads the form.
  document.addEventListener("submit", (event) => event.target.id === "answer" && write(event.target), true);
  document.addEventListener("change", (event) => {
    if (event.target.form && event.target.form === document.getElementById("answer")) changes += 1;
  }, true);

  const awake = () => visible && performance.now() - moved < IDLE_MS;
  window.plumbline = Object.assign(window.plumbline || {}, { timing: { start, write, awake } });
})();
