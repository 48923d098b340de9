// A ranking as a line of cards: drag, arrow keys, buttons or digits; ties by the sign between two cards.
// Nothing counts until it was touched or "The order is right" was pressed: only then do the radios hold places.
(function () {
  "use strict";
  const own = document.currentScript;
  const say = (key, values) => window.plumbline.say(key, values);
  const whole = (element) => element.closest(".ranking");
  const cards = (box) => Array.from(box.querySelectorAll(".order-card"));
  const radios = (box, card) => {
    const row = box.querySelectorAll(".ranks [data-slot]")[Number(card.dataset.place)];
    return Array.from(row.querySelectorAll("input"));
  };
  const placeOf = (box, card) => {
    const chosen = radios(box, card).find((field) => field.checked);
    return chosen ? Number(chosen.value) : null;
  };

  // Radios → cards: those with a place first, by place; otherwise they stay where they are.
  function show(box) {
    const list = box.querySelector(".order");
    const all = cards(box).map((card) => ({ card, place: placeOf(box, card) }));
    const placed = all.filter((each) => each.place !== null);
    const done = placed.length === all.length;
    if (placed.length) {
      all.sort((one, other) => (one.place ?? 99) - (other.place ?? 99));
      const focused = list.contains(document.activeElement) ? document.activeElement : null;
      if (all.some((each, at) => list.children[at] !== each.card)) {
        list.append(...all.map((each) => each.card));
        if (focused) focused.focus();
      }
    }
    all.forEach(({ card, place }, at) => {
      const sign = card.querySelector(".order-sign");
      const tied = at > 0 && done && place === all[at - 1].place;
      card.classList.toggle("is-tied", tied);
      sign.hidden = at === 0;
      sign.textContent = tied ? "=" : "›";
      sign.disabled = box.dataset.ties === undefined;
      if (at) {
        const values = { one: all[at - 1].card.dataset.letter, other: card.dataset.letter };
        sign.setAttribute("aria-label", say(tied ? "order_untie" : "order_tie", values));
      }
      card.querySelector('[data-order="-1"]').disabled = at === 0 && !tied;
      card.querySelector('[data-order="1"]').disabled = at === all.length - 1;
    });
    box.classList.toggle("is-ordered", done);
    box.querySelector(".order-confirm").hidden = done || Boolean(box.closest(".locked"));
    const output = box.querySelector("[data-ranking]");
    const words = done ? all.map(({ card, place }, at) =>
      (at ? (place === all[at - 1].place ? " = " : " > ") : "") + card.dataset.letter).join("") : "";
    if (output.textContent !== words) output.textContent = words;
  }

  // Cards → radios. `tied` are the cards that share the place of the one before them.
  function store(box, tied) {
    let place = 0;
    cards(box).forEach((card, at) => {
      if (!at || !tied.has(card)) place = at + 1;
      const field = radios(box, card).find((each) => Number(each.value) === place);
      field.checked = true;
    });
    box.querySelector("input").dispatchEvent(new Event("change", { bubbles: true }));
  }

  const tiedNow = (box) => new Set(cards(box).filter((card) => card.classList.contains("is-tied")));

  function move(card, step) {
    const box = whole(card);
    const list = card.parentElement;
    const tied = tiedNow(box);
    const other = step < 0 ? card.previousElementSibling : card.nextElementSibling;
    if (!other) return;
    const focused = document.activeElement;
    // Leaving a tie keeps the others of it together.
    const after = card.nextElementSibling;
    if (!tied.has(card) && after && tied.has(after) && step < 0) tied.delete(after);
    tied.delete(card);
    if (step < 0) list.insertBefore(card, other);
    else {
      tied.delete(other);
      list.insertBefore(other, card);
    }
    tied.delete(list.firstElementChild);
    store(box, tied);
    if (card.contains(focused)) focused.focus();
    tell(card);
  }

  function tie(card) {
    const box = whole(card);
    const tied = tiedNow(box);
    if (!card.previousElementSibling || box.dataset.ties === undefined) return;
    if (tied.has(card)) tied.delete(card);
    else tied.add(card);
    store(box, tied);
    tell(card);
  }

  function tell(card) {
    const box = whole(card);
    window.plumbline.announce(box.querySelector("[data-ranking]").textContent);
  }

  let loading = null;

  // Sortable is fetched only where there is something to drag.
  function load() {
    loading = loading || new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = own.dataset.sortable;
      script.nonce = own.nonce;
      script.onload = resolve;
      document.head.append(script);
    });
    return loading;
  }

  function makeDraggable(box) {
    const list = box.querySelector(".order");
    window.Sortable.create(list, {
      handle: ".order-grip, .order-name",
      forceFallback: true, // the same for mouse and finger
      fallbackTolerance: 4,
      animation: window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 100,
      onEnd: (event) => {
        const tied = tiedNow(box);
        tied.delete(event.item);
        tied.delete(list.firstElementChild);
        store(box, tied);
        tell(event.item);
      },
    });
  }

  function setUp() {
    const boxes = Array.from(document.querySelectorAll("#answer .ranking"));
    boxes.forEach((box) => {
      box.querySelector(".order").hidden = false;
      show(box);
    });
    const open = boxes.filter((box) => !box.closest(".locked"));
    if (open.length) load().then(() => open.forEach((box) => box.isConnected && makeDraggable(box)));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-order]");
    if (button) {
      const card = button.closest(".order-card");
      if (button.dataset.order === "tie") tie(card);
      else move(card, Number(button.dataset.order));
    }
    const confirm = event.target.closest(".order-confirm");
    if (confirm) {
      const box = whole(confirm);
      store(box, new Set());
      const name = box.querySelector(".order-name");
      name.focus();
      tell(cards(box)[0]);
    }
  });

  // Inside the line: arrows move the card, = ties it with the one before.
  document.addEventListener("keydown", (event) => {
    const card = event.target.closest && event.target.closest(".order-card");
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (!step && event.key !== "=") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (step) move(card, getComputedStyle(card).direction === "rtl" && event.key.match(/Left|Right/) ? -step : step);
    else tie(card);
  }, true);

  document.addEventListener("change", (event) => {
    // Sortable sends events of this name from the list while a card is dragged.
    const box = event.target.matches("input") && event.target.closest(".ranking");
    if (box) show(box);
  });

  window.plumbline = Object.assign(window.plumbline || {}, {
    setUpRankings: setUp,
    showRankings: () => document.querySelectorAll("#answer .ranking").forEach(show),
  });
})();
