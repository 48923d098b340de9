// Keeps the unfinished answer: in this browser at once, on the server two seconds after the last change, and in the
// person's other tabs. What the server does not have yet is put back when the item is shown again.
(function () {
  "use strict";
  const WAIT_MS = 2000;
  const SMALL = 20000;
  const HEARTBEAT_MS = 60000;
  const SYSTEM = ["csrfmiddlewaretoken", "uuid", "assignment", "schema", "guideline", "day", "supersedes", "position"];
  const TIMING = ["active_ms", "wall_ms", "n_changes", "viewport"];

  const { store, line, outbox } = window.plumbline;
  const main = () => document.getElementById("main");
  const form = () => document.getElementById("answer");
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("plumbline.judging") : null;

  let timer = null;
  let keeping = null;
  let sending = false;
  let saved = null; // server's time of the last save
  let touchedAt = -WAIT_MS;
  let reached = 0; // when the lease was last prolonged
  let state = ""; // "", "local", "refused", "late", "restored"
  let unsaved = false;

  const entered = (current) => Array.from(new FormData(current)).filter(([name]) => !SYSTEM.includes(name));
  const answers = (values) => values.filter(([name, value]) => value !== "" && !TIMING.includes(name)).sort();
  const written = (values) => values.filter(([name, value]) => value.trim() !== "" && !TIMING.includes(name));

  function show() {
    const box = document.getElementById("draft-state");
    if (!box) return;
    box.classList.toggle("is-failed", state === "local");
    const say = (key, values) => window.plumbline.say(key, values);
    const seconds = saved === null ? 0 : Math.max(0, Math.round((store.now() - saved) / 1000));
    const ago = seconds < 60 ? say("draft_seconds", { n: seconds })
      : seconds < 3600 ? say("draft_minutes", { n: Math.round(seconds / 60) }) : say("draft_saved");
    const words = state ? say(`draft_${state}`) : saved === null ? "" : ago;
    if (box.textContent !== words) box.textContent = words;
  }

  // --- In this browser ----------------------------------------------------------------------------------------

  function keep(current) {
    store.set("draft", outbox.subject(), { values: entered(current), base: current.dataset.drafted || "" });
  }

  function fill(current, values, later) {
    const given = new Map();
    for (const [name, value] of values) given.set(name, [...(given.get(name) || []), value]);
    for (const field of Array.from(current.elements)) {
      if (!field.name || SYSTEM.includes(field.name) || field.type === "submit" || field.tagName === "BUTTON") continue;
      const those = given.get(field.name) || [];
      if (["radio", "checkbox"].includes(field.type)) field.checked = those.includes(field.value);
      else field.value = those.length ? those[0] : TIMING.includes(field.name) ? field.value : "";
    }
    current.dispatchEvent(new CustomEvent("plumbline:filled", { bubbles: true, detail: { later: Boolean(later) } }));
  }

  // Put back what the server does not have: nothing was saved there since, or this is newer. The form that comes
  // back with errors is as new as can be.
  function restore(current) {
    if (current.querySelector(".locked")) return; // what is stored stands there, and nothing else
    const subject = outbox.subject();
    const letter = outbox.letters().find((each) => each.subject === subject);
    const draft = letter ? { values: Array.from(new URLSearchParams(letter.body)) } : store.get("draft", subject);
    if (!draft) return;
    const stamp = current.dataset.drafted || "";
    if (letter || draft.base === stamp || draft.at > Number(stamp)) {
      const values = draft.values.filter(([name]) => !SYSTEM.includes(name));
      const same = JSON.stringify(answers(values)) === JSON.stringify(answers(entered(current)));
      if (!same) fill(current, values);
      unsaved = !letter;
      state = letter || same ? "" : "restored";
      if (unsaved) timer = setTimeout(save, WAIT_MS);
    } else store.remove("draft", subject);
  }

  // --- On the server ------------------------------------------------------------------------------------------

  async function save(last) {
    clearTimeout(timer);
    const current = form();
    if (!current || !unsaved || current.inert || current.dataset.correcting !== undefined) return;
    if (sending && last !== true) {
      timer = setTimeout(save, WAIT_MS); // one at a time, or an older one could arrive last
      return;
    }
    unsaved = false;
    sending = true;
    window.plumbline.timing.write(current);
    const subject = outbox.subject();
    const body = new URLSearchParams(new FormData(current));
    body.delete("csrfmiddlewaretoken");
    let ok = false;
    try {
      const answer = await line.post(main().dataset.draft, body, {
        keepalive: last === true && body.toString().length < 60000,
      });
      const stamp = answer.headers.get("X-Drafted");
      ok = Boolean(stamp) || answer.status === 400 || answer.status === 409;
      if (form() === current) {
        if (stamp) {
          saved = Number(stamp);
          reached = performance.now();
          current.dataset.drafted = stamp;
          state = answer.status === 409 ? "late" : "";
          if (unsaved) keep(current);
          else store.remove("draft", subject);
        }
        else if (ok) state = "refused";
        if (ok && line.ended()) line.clear();
        if (answer.status === 403) line.sessionEnded(line.outOf(answer), false);
      }
    } catch {
      // The browser still has it.
    } finally {
      sending = false;
    }
    if (form() !== current) return;
    if (!ok) {
      unsaved = true;
      state = "local";
      clearTimeout(timer);
      timer = setTimeout(save, 5 * WAIT_MS);
    }
    show();
  }

  function start(current) {
    clearTimeout(timer);
    unsaved = false;
    state = "";
    reached = performance.now();
    saved = current && current.dataset.drafted ? Number(current.dataset.drafted) : null;
    if (current) restore(current);
    show();
  }

  function touch(event) {
    const current = event.target.form;
    // A text that loses the focus by being swept away still says that it changed: the item before, not this one.
    if (!current || current !== form() || !event.target.name) return;
    unsaved = true;
    touchedAt = performance.now();
    window.plumbline.timing.write(current);
    clearTimeout(keeping);
    if (event.target.value.length < SMALL) keep(current);
    else keeping = setTimeout(() => form() === current && unsaved && keep(current), 300);
    clearTimeout(timer);
    timer = setTimeout(save, WAIT_MS);
    tell({ kind: "draft", subject: outbox.subject(), values: entered(current) });
  }

  // Before the page goes away: the browser's copy for certain, the server's if it can be reached.
  function leave() {
    if (!unsaved || !form()) return;
    window.plumbline.timing.write(form());
    keep(form());
    save(true);
  }

  // Reading long without writing anything keeps the lease too.
  function beat() {
    const third = (Number(main().dataset.lease) * 60000) / 3;
    if (!form() || document.visibilityState !== "visible" || !window.plumbline.timing.awake()) return;
    if (performance.now() - reached > third) {
      unsaved = true;
      save();
    }
  }

  // --- Other tabs of this person ------------------------------------------------------------------------------

  function tell(message) {
    if (channel) channel.postMessage({ ...message, person: main().dataset.person, project: main().dataset.project });
  }

  // The server has this judgment: its draft is over, and tabs that show the same item go on.
  function stored(letter) {
    store.remove("draft", letter.subject);
    tell({ kind: "stored", subject: letter.subject, values: Array.from(new URLSearchParams(letter.body)) });
  }

  // What could not be stored and is not on the page any more stays readable.
  function refused(letter, html) {
    const said = new DOMParser().parseFromString(html, "text/html").querySelector(".answer-notice, .field-error, .lede");
    store.set("kept", letter.uuid, {
      words: said ? said.textContent.trim().replace(/\s+/g, " ") : "",
      values: written(Array.from(new URLSearchParams(letter.body)).filter(([name]) => /^[a-z]+-/.test(name))),
    });
    showKept();
  }

  function showKept() {
    const box = document.getElementById("kept");
    const all = store.names("kept").map((name) => store.get("kept", name)).filter(Boolean);
    box.hidden = !all.length;
    document.getElementById("kept-why").textContent = all.map((each) => each.words).filter(Boolean).join(" ");
    document.getElementById("kept-text").textContent = all
      .map((each) => each.values.map(([, value]) => value).join("\n")).join("\n\n");
  }

  function hear(message) {
    if (message.person !== main().dataset.person || message.project !== main().dataset.project) return;
    const current = form();
    if (!current || message.subject !== outbox.subject()) return;
    // What is being written here right now is not overwritten from there.
    if (current.querySelector(".locked")) return;
    if (message.kind === "draft" && performance.now() - touchedAt > WAIT_MS && !current.inert) {
      fill(current, message.values, true);
      window.plumbline.timing.start(current);
    } else if (message.kind === "stored") {
      const there = new Set(message.values.map(([name, value]) => `${name}=${value}`));
      const only = written(entered(current)).filter(([name, value]) => /^[xw]-/.test(name) && !there.has(`${name}=${value}`));
      if (only.length) {
        store.set("kept", current.elements.uuid.value, { words: window.plumbline.say("kept_other_tab"), values: only });
        showKept();
      }
      unsaved = false;
      clearTimeout(timer);
      window.htmx.ajax("GET", main().dataset.judge, { target: "#desk", swap: "outerHTML" });
    }
  }

  if (channel) channel.addEventListener("message", (event) => hear(event.data));
  document.addEventListener("input", touch);
  document.addEventListener("change", touch);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
  window.addEventListener("pagehide", leave);
  window.addEventListener("online", () => save());
  window.addEventListener("focus", () => state === "local" && save());
  document.addEventListener("plumbline:back", () => save());
  document.addEventListener("DOMContentLoaded", () => {
    showKept();
    document.getElementById("kept-discard").addEventListener("click", () => {
      store.names("kept").forEach((name) => store.remove("kept", name));
      showKept();
    });
  });
  setInterval(show, 1000);
  setInterval(beat, HEARTBEAT_MS);

  window.plumbline = Object.assign(window.plumbline || {}, {
    draft: { start, stored, refused },
  });
})();
