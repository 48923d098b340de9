// What this browser keeps for one person and project: unsent judgments, unsaved drafts. Where the browser refuses
// storage, memory holds it as long as the page stands. Times are the server's: a wrong clock here changes nothing.
(function () {
  "use strict";
  const LONGEST_MS = 30 * 24 * 3600 * 1000;
  const memory = new Map();
  const main = () => document.getElementById("main");
  const mine = () => `${main().dataset.person}.${main().dataset.project}`;
  const opened = performance.now();

  // Milliseconds since 1970 by the server's clock, as far as this page knows.
  const now = () => Number(main().dataset.now) + Math.round(performance.now() - opened);
  const key = (kind, name) => `plumbline.${kind}.${mine()}.${name}`;

  function get(kind, name) {
    const at = key(kind, name);
    if (memory.has(at)) return memory.get(at);
    try {
      return JSON.parse(localStorage.getItem(at) || "null");
    } catch {
      return null;
    }
  }

  function set(kind, name, value) {
    const at = key(kind, name);
    const kept = { ...value, at: now() };
    try {
      localStorage.setItem(at, JSON.stringify(kept));
      memory.delete(at);
    } catch {
      memory.set(at, kept);
    }
  }

  function remove(kind, name) {
    const at = key(kind, name);
    memory.delete(at);
    try {
      localStorage.removeItem(at);
    } catch {
      // Nothing is stored where nothing can be stored.
    }
  }

  // Names of one kind, in their own order.
  function names(kind) {
    const start = key(kind, "");
    const found = new Set(Array.from(memory.keys()).filter((at) => at.startsWith(start)));
    try {
      for (let place = 0; place < localStorage.length; place += 1) {
        const at = localStorage.key(place);
        if (at.startsWith(start)) found.add(at);
      }
    } catch {
      // as above
    }
    return Array.from(found, (at) => at.slice(start.length)).sort();
  }

  // Drafts of items that never came back.
  function sweep() {
    for (const name of names("draft")) {
      const draft = get("draft", name);
      if (!draft || now() - draft.at > LONGEST_MS) remove("draft", name);
    }
  }

  window.addEventListener("load", sweep);
  window.plumbline = Object.assign(window.plumbline || {}, { store: { now, get, set, remove, names, key } });
})();
