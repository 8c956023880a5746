"use strict";
// Sort a table by the column whose heading is clicked.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    heading.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key;
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        const numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
        return numbers ? x - y : x.localeCompare(y);
      };
      const rows = [...body.rows].sort((a, b) =>
        up ? compare(a, b) : compare(b, a));
      body.append(...rows);
    });
  });
}
// Show the cards that menus choose, in the order that is asked for.
for (const filters of document.querySelectorAll(".filters")) {
  const list = filters.nextElementSibling;
  const cards = [...list.children];
  const selects = [...filters.querySelectorAll("select")];
  const shown = filters.querySelector("output");
  filters.hidden = false;
  const update = () => {
    const {order, ...wanted} = Object.fromEntries(
      selects.map((s) => [s.name, s.value]));
    for (const card of cards) {
      card.hidden = Object.entries(wanted).some(
        ([name, value]) => value && card.dataset[name] !== value);
    }
    const sorted = [...cards];
    if (order === "reverse") {
      sorted.reverse();
    } else if (order) {
      const key = order.replace("-", "");
      const sign = order === key ? 1 : -1;
      sorted.sort((a, b) => sign * (a.dataset[key] - b.dataset[key]));
    }
    list.append(...sorted);
    const count = cards.filter((card) => !card.hidden).length;
    shown.textContent = `${count} of ${cards.length} shown`;
  };
  for (const select of selects) select.addEventListener("change", update);
  update();
}
// Show a picture large.
const buttons = document.querySelectorAll("button.zoom");
if (buttons.length) {
  const dialog = document.createElement("dialog");
  const [large, caption] = ["img", "p"].map((x) => document.createElement(x));
  dialog.append(large, caption);
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const small = button.querySelector("img");
      large.src = small.src;
      large.alt = small.alt;
      caption.textContent = button.dataset.caption;
      dialog.showModal();
    });
  }
}
