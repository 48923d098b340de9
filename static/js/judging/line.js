// The line to the server: what stands in its way, said once, and signing in again without leaving the page.
(function () {
  "use strict";
  const main = () => document.getElementById("main");
  const byId = (id) => document.getElementById(id);
  const word = (key, values) => window.plumbline.say(key, values);
  let ended = "";

  function token() {
    // Signing in again changes the token; the cookie always has the present one.
    const cookie = document.cookie.split("; ").find((part) => part.startsWith("csrftoken="));
    return cookie ? decodeURIComponent(cookie.slice("csrftoken=".length)) : window.plumbline.csrfToken();
  }

  const headers = () => ({ "X-CSRFToken": token(), "X-Person": main().dataset.person });

  function say(words) {
    byId("outbox").hidden = !words;
    byId("outbox-words").textContent = words || "";
    byId("outbox-sign-in").hidden = !ended;
  }

  // `why`: "1" signed out, "other" somebody else is signed in by now.
  function sessionEnded(why, ask) {
    ended = why || "1";
    say(word(ended === "other" ? "somebody_else" : "session_ended", { name: main().dataset.username }));
    if (ask) openDialog();
  }

  function clear() {
    ended = "";
    say("");
    const dialog = byId("relogin");
    if (dialog.open) dialog.close();
  }

  // A 403 that is not about the session is a stale token: opening the page again renews it.
  async function renewToken() {
    try {
      await fetch(main().dataset.judge, { headers: { "HX-Request": "true", "X-Person": main().dataset.person } });
    } catch {
      // The next try finds out.
    }
  }

  const outOf = (answer) => (answer.status === 403 ? answer.headers.get("X-Signed-Out") || "" : "");

  // POST a form body; a stale token is renewed once. Rejects where the server cannot be reached.
  async function post(url, body, more) {
    const send = () => fetch(url, {
      method: "POST", body, redirect: "error", ...more, headers: { ...headers(), "X-Outbox": "1", ...(more && more.headers) },
    });
    let answer = await send();
    if (answer.status === 403 && !outOf(answer)) {
      await renewToken();
      answer = await send();
    }
    return answer;
  }

  // --- The dialog ---------------------------------------------------------------------------------------------

  function openDialog() {
    const dialog = byId("relogin");
    if (dialog.open || document.visibilityState !== "visible") return;
    wrong("");
    second("");
    document.querySelectorAll(":popover-open").forEach((open) => open.hidePopover());
    dialog.showModal();
    byId("relogin-password").focus();
  }

  function wrong(words) {
    byId("relogin-error").hidden = !words;
    byId("relogin-error").textContent = words;
  }

  function second(url) {
    byId("relogin-second").hidden = !url;
    byId("relogin-fields").hidden = Boolean(url);
    if (url) {
      byId("relogin-second-link").href = url;
      byId("relogin-second-link").focus();
    }
  }

  async function signIn(form) {
    // Whoever is signed in by now is signed out first, or the sign-in page would send us on as them.
    if (ended === "other") await leave(form);
    const fresh = await fetch(form.action, { headers: { "X-Requested-With": "XMLHttpRequest" } });
    if (new URL(fresh.url).pathname.includes("/2fa/")) return { second: fresh.url };
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.action, {
      method: "POST", body, headers: { "X-CSRFToken": token(), "X-Requested-With": "XMLHttpRequest" },
    });
    const json = (answer.headers.get("Content-Type") || "").includes("json") ? await answer.json() : null;
    const next = new URL(json && json.location ? json.location : answer.url, window.location.href);
    if (next.pathname.includes("/2fa/")) return { second: next.href };
    if (answer.ok && json && json.location) return {};
    if (answer.status === 429) return { wrong: word("too_many_tries") };
    const fields = json && json.form ? Object.values(json.form.fields).flatMap((field) => field.errors) : [];
    const said = json && json.form ? [...json.form.errors, ...fields] : [];
    return { wrong: said.join(" ") || word("sign_in_failed", { status: answer.status }) };
  }

  async function leave(form) {
    await fetch(form.dataset.logout);
    await fetch(form.dataset.logout, { method: "POST", headers: { "X-CSRFToken": token() } });
  }

  async function submitDialog(form) {
    const button = form.querySelector(".btn-primary");
    button.disabled = true;
    wrong("");
    try {
      const found = await signIn(form);
      if (found.second) second(found.second);
      else if (found.wrong) {
        wrong(found.wrong);
        byId("relogin-password").select();
      } else {
        clear();
        window.plumbline.announce(word("signed_in"));
        document.dispatchEvent(new CustomEvent("plumbline:back"));
      }
    } catch {
      wrong(word("sign_in_offline"));
    } finally {
      button.disabled = false;
      byId("relogin-password").value = "";
    }
  }

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "relogin-form") return;
    event.preventDefault();
    submitDialog(event.target);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#outbox-sign-in")) openDialog();
    if (event.target.closest("#relogin-later")) byId("relogin").close();
  });

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-Person"] = main().dataset.person;
    if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = token();
  });

  window.plumbline = Object.assign(window.plumbline || {}, {
    line: { post, say, clear, sessionEnded, outOf, renewToken, ended: () => ended },
  });
})();
