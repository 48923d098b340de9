// A judgment is written down here before it is sent and struck out when the server has it. What stays is sent
// again with the same id, oldest first; the server stores each id once.
(function () {
  "use strict";
  const LONGEST_WAIT_MS = 30000;
  const TIMEOUT_MS = 20000;
  const TOO_SOON_MS = 600;
  let wait = 1000;
  let timer = null;
  let busy = 0; // since when something is on its way; a request whose form was swept away says nothing at its end
  let shown = -TOO_SOON_MS; // when the next item appeared after a judgment
  let touched = false;

  const { store, line } = window.plumbline;
  const word = (key, values) => window.plumbline.say(key, values);
  const main = () => document.getElementById("main");
  const form = () => document.getElementById("answer");

  // What a form is about: the lease, or the judgment that it corrects.
  function subjectOf(values) {
    const corrected = values.get("supersedes");
    return corrected ? `c${corrected}` : `a${values.get("assignment")}`;
  }
  const subject = () => (form() ? subjectOf(new FormData(form())) : "");

  const letters = () => store.names("outbox").map((name) => ({ name, ...store.get("outbox", name) }))
    .filter((letter) => letter.uuid);

  function put(body) {
    const values = new URLSearchParams(body);
    const known = letters().find((letter) => letter.uuid === values.get("uuid"));
    const name = known ? known.name : `${String(store.now()).padStart(15, "0")}.${values.get("uuid")}`;
    store.set("outbox", name, { uuid: values.get("uuid"), subject: subjectOf(values), body });
  }

  function strike(uuid) {
    letters().filter((letter) => letter.uuid === uuid).forEach((letter) => store.remove("outbox", letter.name));
  }

  // The form of a judgment that is on its way waits for it, here and in other tabs.
  function hold() {
    const held = letters().find((letter) => letter.subject === subject());
    if (form()) form().inert = Boolean(held);
    return held;
  }

  function later(status) {
    if (status === 0) line.say(word("outbox_offline"));
    else if (status) line.say(word("outbox_failed", { status }));
    hold();
    clearTimeout(timer);
    timer = setTimeout(replay, wait);
    wait = Math.min(LONGEST_WAIT_MS, wait * 2);
  }

  function fail(status, out, ask) {
    if (status === 403) {
      line.sessionEnded(out, ask);
      later(null);
    } else later(status);
  }

  // 400, 409, 422: the server has read it and says what is wrong; the form shows it. 404: not a member any more.
  const settled = (status) => (status >= 200 && status < 300) || [400, 404, 409, 413, 422].includes(status);

  function done(letter, status) {
    wait = 1000;
    strike(letter.uuid);
    line.clear();
    hold();
    if (status < 300) window.plumbline.draft.stored(letter);
    if (status === 404) line.say(word("outbox_no_member"));
    if (status === 413) line.say(word("outbox_too_long"));
  }

  // A refusal without the form would take what was entered off the page.
  function spare(letter, html) {
    if (!html.includes('id="answer"')) window.plumbline.draft.refused(letter, html);
  }

  async function deliver(letter) {
    const body = new URLSearchParams(letter.body);
    body.delete("csrfmiddlewaretoken");
    const answer = await line.post(main().dataset.submit, body, {
      headers: { "HX-Request": "true" },
      signal: AbortSignal.timeout ? AbortSignal.timeout(TIMEOUT_MS) : undefined,
    });
    if (!settled(answer.status)) {
      fail(answer.status, line.outOf(answer), false);
      return false;
    }
    const html = await answer.text();
    const here = letter.subject === subject();
    done(letter, answer.status);
    // Another item that is being worked on is not swept away; its turn comes with its own submit.
    if (here ? ![404, 413].includes(answer.status) : answer.ok && !form()) {
      if (!answer.ok) spare(letter, html);
      window.htmx.swap("#desk", html, { swapStyle: "outerHTML" });
    } else if (!answer.ok && !here) window.plumbline.draft.refused(letter, html);
    return true;
  }

  async function replay() {
    clearTimeout(timer);
    if (busy && performance.now() - busy < TIMEOUT_MS + 5000) return;
    busy = performance.now();
    try {
      for (const letter of letters()) if (!(await deliver(letter))) break;
    } catch {
      later(0);
    } finally {
      busy = 0;
    }
  }

  const ours = (event) => {
    const sent = event.detail.requestConfig;
    return Boolean(sent && sent.elt && sent.elt.id === "answer" && sent.verb === "post");
  };

  function letterOf(event) {
    const body = new URLSearchParams(event.detail.requestConfig.formData);
    return { uuid: body.get("uuid"), subject: subjectOf(body), body: body.toString() };
  }

  // The second half of a double click must not answer the item that has just appeared. A box was opened on this item.
  document.addEventListener("submit", (event) => {
    const meant = touched || (event.submitter && event.submitter.closest("[data-box]"));
    if (event.target.id !== "answer" || meant || performance.now() - shown > TOO_SOON_MS) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  for (const name of ["input", "change"]) {
    document.addEventListener(name, (event) => {
      if (event.target.form && event.target.form === form()) touched = true;
    });
  }

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id === "answer") event.detail.formData.delete("csrfmiddlewaretoken");
  });

  document.addEventListener("htmx:beforeSend", (event) => {
    if (!ours(event)) return;
    const { requestConfig, xhr } = event.detail;
    xhr.timeout = TIMEOUT_MS;
    busy = performance.now();
    put(new URLSearchParams(requestConfig.formData).toString());
    document.querySelectorAll("#answer :popover-open").forEach((open) => open.hidePopover());
    hold();
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.target || event.target.id !== "desk") return;
    const { status } = event.detail.xhr;
    event.detail.shouldSwap = (status >= 200 && status < 300) || [400, 409, 422].includes(status);
    event.detail.isError = !event.detail.shouldSwap;
    // Before the next item appears: its form must not wait for this letter.
    if (!ours(event) || !settled(status)) return;
    done(letterOf(event), status);
    if (event.detail.shouldSwap && status >= 400) spare(letterOf(event), event.detail.serverResponse);
  });

  // Said once, here and in this page's words: the site's general error toast would say it again.
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout", "htmx:sendAbort"]) {
    document.body.addEventListener(name, (event) => ours(event) && event.stopPropagation());
  }

  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, requestConfig } = event.detail;
    const out = xhr.status === 403 && xhr.getResponseHeader ? xhr.getResponseHeader("X-Signed-Out") || "" : "";
    if (!ours(event)) {
      if (out) line.sessionEnded(out, true);
      return;
    }
    busy = 0;
    if (settled(xhr.status)) replay();
    else if (xhr.status === 403 && !out) {
      hold();
      line.renewToken().then(replay);
    } else fail(xhr.status, out, true);
  });

  document.addEventListener("plumbline:shown", () => {
    const next = document.getElementById("desk").dataset.stored !== undefined;
    shown = next ? performance.now() : -TOO_SOON_MS;
    touched = false;
    hold();
  });
  document.addEventListener("plumbline:filled", () => (touched = true));
  window.addEventListener("online", replay);
  window.addEventListener("focus", replay);
  document.addEventListener("plumbline:back", replay);
  // Another tab has written or struck a letter.
  window.addEventListener("storage", (event) => {
    if (event.key && event.key.startsWith(store.key("outbox", ""))) hold();
  });
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("outbox-retry").addEventListener("click", () => {
      document.dispatchEvent(new CustomEvent("plumbline:back"));
    });
    if (letters().length) replay();
  });

  window.plumbline = Object.assign(window.plumbline || {}, { outbox: { subject, hold, letters } });
})();
