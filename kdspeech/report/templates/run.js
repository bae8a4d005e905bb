"use strict";
// Sorts and filters tables, and plays recordings. The page reads without it.

const FILTERED_FROM = 8; // rows: shorter tables need no filter

function number(text) {
  const value = parseFloat(text.replace("−", "-"));
  return Number.isNaN(value) ? null : value;
}

function compare(a, b) {
  const [x, y] = [number(a), number(b)];
  if (x !== null && y !== null && x !== y) return x - y;
  if ((x === null) !== (y === null)) return x === null ? 1 : -1;
  return a.localeCompare(b, undefined, { numeric: true });
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    if ("fixed" in heading.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent.trim();
      const rows = [...body.rows].sort((a, b) => compare(text(a), text(b)));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}

function makeFilterable(box, table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < FILTERED_FROM) return;
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("span");
  const line = document.createElement("p");
  input.type = "search";
  count.setAttribute("role", "status");
  label.append("Only rows with ", input);
  line.className = "filter";
  line.append(label, count);
  box.prepend(line);
  const show = () => {
    const wanted = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} ${box.dataset.unit}`;
  };
  input.addEventListener("input", show);
  show();
}

function makePlayer(player) {
  const button = player.querySelector("button");
  const audio = player.querySelector("audio");
  const picture = player.closest("article")?.querySelector("svg.picture");
  const head = picture?.querySelector(".playhead");
  const follow = () => {
    if (head) {
      const place = Number(picture.dataset.left) + (Number(picture.dataset.width) * audio.currentTime) / (audio.duration || 1);
      head.setAttribute("x1", place);
      head.setAttribute("x2", place);
    }
    if (!audio.paused) requestAnimationFrame(follow);
  };
  const stopped = () => {
    button.setAttribute("aria-pressed", "false");
    button.textContent = "Play";
    head?.setAttribute("visibility", "hidden");
  };
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    if (!audio.paused) return audio.pause();
    document.querySelectorAll("audio").forEach((other) => other.pause());
    audio.currentTime = 0;
    return audio.play();
  });
  audio.addEventListener("play", () => {
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Stop";
    head?.setAttribute("visibility", "visible");
    follow();
  });
  audio.addEventListener("pause", stopped);
  audio.addEventListener("ended", stopped);
}

for (const box of document.querySelectorAll(".sortable")) {
  const table = box.querySelector("table");
  makeSortable(table);
  makeFilterable(box, table);
}
document.querySelectorAll(".player").forEach(makePlayer);
