// Keeps the unfinished answer on the server two seconds after the last change, and says so.
(function () {
  "use strict";
  const WAIT_MS = 2000;
  let timer = null;
  let saved = null;
  let failed = false;
  let unsaved = false;

  const main = () => document.getElementById("main");
  const form = () => document.getElementById("answer");

  function show() {
    const state = document.getElementById("draft-state");
    if (!state) return;
    state.classList.toggle("is-failed", failed);
    if (failed) state.textContent = "Draft not saved: no connection";
    else if (saved === null) state.textContent = "";
    else {
      const seconds = Math.max(0, Math.round((Date.now() - saved) / 1000));
      state.textContent = seconds < 60 ? `Draft saved ${seconds} s ago`
        : seconds < 3600 ? `Draft saved ${Math.round(seconds / 60)} min ago` : "Draft saved";
    }
  }

  async function save(keepalive) {
    clearTimeout(timer);
    const current = form();
    if (!current || !unsaved || current.dataset.correcting !== undefined || current.inert) return;
    unsaved = false;
    window.plumbline.timing.write(current);
    const body = new URLSearchParams(new FormData(current));
    body.delete("csrfmiddlewaretoken");
    try {
      const answer = await fetch(main().dataset.draft, {
        method: "POST",
        body,
        keepalive: Boolean(keepalive) && body.toString().length < 60000,
        headers: { "X-CSRFToken": window.plumbline.freshToken(), "X-Outbox": "1" },
      });
      if (form() !== current) return;
      failed = !(answer.ok || answer.status === 400 || answer.status === 409);
      if (answer.ok) saved = Date.now();
    } catch {
      if (form() !== current) return;
      failed = true;
    }
    unsaved = unsaved || failed;
    show();
  }

  function start(current) {
    clearTimeout(timer);
    unsaved = false;
    failed = false;
    saved = current && current.dataset.drafted ? Number(current.dataset.drafted) * 1000 : null;
    show();
  }

  function touch(event) {
    if (!event.target.form || event.target.form.id !== "answer") return;
    unsaved = true;
    clearTimeout(timer);
    timer = setTimeout(save, WAIT_MS);
  }

  document.addEventListener("input", touch);
  document.addEventListener("change", touch);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save(true));
  window.addEventListener("online", () => save());
  setInterval(show, 1000);

  window.plumbline = Object.assign(window.plumbline || {}, { draft: { start } });
})();
