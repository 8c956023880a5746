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
// Show the cards of one class, in the order that is asked for.
for (const filters of document.querySelectorAll(".filters")) {
  const list = filters.nextElementSibling;
  const cards = [...list.children];
  const selects = [...filters.querySelectorAll("select")];
  const shown = filters.querySelector("output");
  filters.hidden = false;
  const update = () => {
    const values = Object.fromEntries(selects.map((s) => [s.name, s.value]));
    for (const card of cards) {
      card.hidden = ["is", "said"].some(
        (name) => values[name] && card.dataset[name] !== values[name]);
    }
    const sorted = [...cards];
    if (values.order === "class") {
      sorted.sort((a, b) => a.dataset.is - b.dataset.is);
    } else if (values.order === "last") {
      sorted.reverse();
    }
    list.append(...sorted);
    const count = cards.filter((card) => !card.hidden).length;
    shown.textContent = `${count} of ${cards.length} shown`;
  };
  for (const select of selects) select.addEventListener("change", update);
  update();
}
