// How long the item was worked on: active (page in sight and some movement within 30 s) and by the clock.
(function () {
  "use strict";
  const IDLE_MS = 30000;
  const TICK_MS = 500;
  let last = performance.now();
  let moved = last;
  let active = 0;
  let wall = 0;
  let changes = 0;

  function tick() {
    const now = performance.now();
    // A sleeping computer stops the timer: a long gap counts for the clock, not as activity.
    const passed = now - last;
    last = now;
    wall += passed;
    if (document.visibilityState === "visible" && now - moved < IDLE_MS && passed < IDLE_MS) active += passed;
  }

  function start(form) {
    last = performance.now();
    moved = last;
    active = Number(form.elements.active_ms.value) || 0;
    wall = Number(form.elements.wall_ms.value) || 0;
    changes = Number(form.elements.n_changes.value) || 0;
  }

  function write(form) {
    tick();
    form.elements.active_ms.value = Math.round(active);
    form.elements.wall_ms.value = Math.round(wall);
    form.elements.n_changes.value = changes;
    form.elements.viewport.value = `${window.innerWidth}x${window.innerHeight}`;
  }

  setInterval(tick, TICK_MS);
  for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "touchstart", "scroll"]) {
    document.addEventListener(name, () => (moved = performance.now()), { passive: true, capture: true });
  }
  // Before htmx or the browser reads the form.
  document.addEventListener("submit", (event) => event.target.id === "answer" && write(event.target), true);
  document.addEventListener("change", (event) => {
    if (event.target.form && event.target.form.id === "answer") changes += 1;
  });

  window.plumbline = Object.assign(window.plumbline || {}, { timing: { start, write } });
})();
