// A judgment is written down here before it is sent and struck out when the server has it. What stays is sent
// again with the same id, which the server stores once.
(function () {
  "use strict";
  const LONGEST_WAIT_MS = 30000;
  const TIMEOUT_MS = 20000;
  let wait = 1000;
  let timer = null;
  let busy = false;

  const main = () => document.getElementById("main");
  const key = () => `plumbline.outbox.${main().dataset.person}.${main().dataset.project}`;

  function freshToken() {
    // Signing in again changes the token; the cookie always has the present one.
    const cookie = document.cookie.split("; ").find((part) => part.startsWith("csrftoken="));
    return cookie ? decodeURIComponent(cookie.slice("csrftoken=".length)) : window.plumbline.csrfToken();
  }

  function read() {
    try {
      return JSON.parse(localStorage.getItem(key()) || "null");
    } catch {
      return null;
    }
  }

  function put(uuid, body) {
    try {
      localStorage.setItem(key(), JSON.stringify({ uuid, body }));
    } catch {
      memory = { uuid, body };
    }
  }

  let memory = null; // where the browser refuses storage
  const waiting = () => memory || read();

  function strike(uuid) {
    memory = null;
    const stored = read();
    if (stored && stored.uuid === uuid) localStorage.removeItem(key());
  }

  function notice(words, signIn) {
    const box = document.getElementById("outbox");
    box.hidden = !words;
    document.getElementById("outbox-words").textContent = words || "";
    document.getElementById("outbox-login").hidden = !signIn;
    const form = document.getElementById("answer");
    if (form) form.inert = Boolean(words) && Boolean(waiting()) && form.elements.uuid.value === waiting().uuid;
  }

  function fail(status, signedOut) {
    if (signedOut || status === 403) {
      notice("Your session has ended. Sign in again: your judgment is kept here and sent by itself.", true);
    } else if (status === 0) {
      notice("No connection. Your judgment is kept here and sent by itself when you are back.");
    } else {
      notice(`The server could not answer (${status}). Your judgment is kept here and sent again by itself.`);
    }
    clearTimeout(timer);
    timer = setTimeout(replay, wait);
    wait = Math.min(LONGEST_WAIT_MS, wait * 2);
  }

  function done(uuid) {
    clearTimeout(timer);
    wait = 1000;
    strike(uuid);
    notice("");
  }

  // 400, 409, 422: the server has read it and says what is wrong; the form shows it. 404: not a member any more.
  const settled = (status) => (status >= 200 && status < 300) || [400, 404, 409, 413, 422].includes(status);

  async function replay() {
    const letter = waiting();
    if (!letter || busy) return;
    busy = true;
    clearTimeout(timer);
    const body = new URLSearchParams(letter.body);
    body.delete("csrfmiddlewaretoken");
    try {
      const answer = await fetch(main().dataset.submit, {
        method: "POST",
        body,
        redirect: "error",
        signal: AbortSignal.timeout ? AbortSignal.timeout(TIMEOUT_MS) : undefined,
        headers: { "X-CSRFToken": freshToken(), "HX-Request": "true", "X-Outbox": "1" },
      });
      if (!settled(answer.status)) {
        fail(answer.status, answer.headers.has("X-Signed-Out"));
        return;
      }
      const html = await answer.text();
      const form = document.getElementById("answer");
      const same = form && form.elements.uuid.value === letter.uuid;
      done(letter.uuid);
      if (answer.ok || same) {
        window.htmx.swap("#desk", html, { swapStyle: "outerHTML" });
      } else {
        window.plumbline.toast("An earlier judgment of yours could not be stored. Open My judgments.", { kind: "error" });
      }
    } catch {
      fail(0);
    } finally {
      busy = false;
    }
  }

  const ours = (event) => {
    const sent = event.detail.requestConfig;
    return Boolean(sent && sent.elt && sent.elt.id === "answer" && sent.verb === "post");
  };

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id !== "answer") return;
    event.detail.headers["X-CSRFToken"] = freshToken();
    event.detail.formData.delete("csrfmiddlewaretoken");
  });

  document.addEventListener("htmx:beforeSend", (event) => {
    if (!ours(event)) return;
    const { requestConfig, xhr } = event.detail;
    xhr.timeout = TIMEOUT_MS;
    const body = new URLSearchParams(requestConfig.formData);
    put(body.get("uuid"), body.toString());
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.target || event.target.id !== "desk") return;
    const { status } = event.detail.xhr;
    event.detail.shouldSwap = (status >= 200 && status < 300) || [400, 409, 422].includes(status);
    event.detail.isError = !event.detail.shouldSwap;
  });

  // Said once, here and in this page's words: the site's general error toast would say it again.
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout", "htmx:sendAbort"]) {
    document.body.addEventListener(name, (event) => ours(event) && event.stopPropagation());
  }

  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (!ours(event)) return;
    const { xhr, requestConfig } = event.detail;
    if (settled(xhr.status)) done(requestConfig.formData.get("uuid"));
    else fail(xhr.status, xhr.getResponseHeader && xhr.getResponseHeader("X-Signed-Out") === "1");
    if (xhr.status === 404) notice("You are no longer a member of this project, so this could not be stored.");
    if (xhr.status === 413) notice("That is too much text to be sent. Shorten it and submit again.");
  });

  window.addEventListener("online", replay);
  window.addEventListener("focus", replay);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("outbox-retry").addEventListener("click", replay);
    if (waiting()) replay();
  });

  window.plumbline = Object.assign(window.plumbline || {}, { freshToken });
})();
