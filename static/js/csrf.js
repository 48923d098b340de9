// Every htmx request that may change something carries the CSRF token, read when it is sent.
(function () {
  "use strict";

  function token() {
    const meta = document.querySelector("meta[name=csrf-token]");
    if (meta && meta.content) return meta.content;
    const cookie = document.cookie.split("; ").find((part) => part.startsWith("csrftoken="));
    return cookie ? decodeURIComponent(cookie.slice("csrftoken=".length)) : "";
  }

  document.addEventListener("htmx:configRequest", function (event) {
    if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = token();
  });

  window.plumbline = Object.assign(window.plumbline || {}, { csrfToken: token });
})();
