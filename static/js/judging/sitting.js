// One sitting: judgments in a row, over all tabs, until ten minutes without anything. After long or many, a word
// about a break, which asks for nothing.
(function () {
  "use strict";
  const PAUSE_MS = 600000;
  const BEAT_MS = 30000;
  const { store } = window.plumbline;
  const main = () => document.getElementById("main");

  function read() {
    const now = store.now();
    const known = store.get("sitting", "now");
    if (known && Math.abs(now - known.last) < PAUSE_MS) return known;
    return { started: now, items: 0, last: now, restedAt: now, restedItems: 0 };
  }

  function write(sitting) {
    store.set("sitting", "now", { ...sitting, last: store.now() });
  }

  function show(sitting) {
    const box = document.getElementById("break");
    const minutes = Math.floor((store.now() - sitting.restedAt) / 60000);
    const items = sitting.items - sitting.restedItems;
    const long = minutes >= Number(main().dataset.breakMinutes);
    const due = long || items >= Number(main().dataset.breakItems);
    if (due && box.hidden) {
      const words = window.plumbline.say(long ? "break_minutes" : "break_items", { n: long ? minutes : items });
      document.getElementById("break-words").textContent = words;
    }
    box.hidden = !due;
  }

  // A judgment was given: returns its successor's place in the sitting, from 0.
  function step() {
    const sitting = read();
    sitting.items += 1;
    write(sitting);
    show(sitting);
    return sitting.items;
  }

  function position() {
    const sitting = read();
    write(sitting);
    show(sitting);
    return sitting.items;
  }

  function rest() {
    const sitting = read();
    write({ ...sitting, restedAt: store.now(), restedItems: sitting.items });
    document.getElementById("break").hidden = true;
    const title = document.getElementById("desk-title");
    if (title) title.focus();
  }

  setInterval(() => {
    if (window.plumbline.timing.awake()) write(read());
  }, BEAT_MS);
  document.addEventListener("click", (event) => event.target.closest("#break-dismiss") && rest());

  window.plumbline = Object.assign(window.plumbline || {}, { sitting: { step, position } });
})();
