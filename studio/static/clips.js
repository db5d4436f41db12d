// The gallery: playing, keys, and filters that act at once.
import { refresh } from "/static/studio.js";

const player = document.getElementById("player"), shelf = document.getElementById("shelf");
let playing = "";

function mark() {
  for (const one of shelf.querySelectorAll(".play")) one.classList.toggle("playing", one.dataset.play === playing);
}

function play(button) {
  if (playing === button.dataset.play && !player.paused) { player.pause(); return; }
  playing = button.dataset.play;
  player.src = playing;
  player.play();
  mark();
}

for (const name of ["ended", "pause"]) player.addEventListener(name, () => { playing = ""; mark(); });
shelf.addEventListener("refreshed", mark);
shelf.addEventListener("taken", () => refresh(shelf));
shelf.addEventListener("click", event => { const button = event.target.closest("[data-play]"); if (button) play(button); });
for (const one of document.querySelectorAll("[data-sends]")) one.addEventListener("change", () => one.form.requestSubmit());

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const clips = [...shelf.querySelectorAll(".clip")], here = event.target.closest(".clip"), at = clips.indexOf(here);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  // Up and down scroll the page until a clip is reached.
  if (step && (here || event.key === "ArrowRight")) {
    event.preventDefault();
    clips[Math.min(Math.max(at + step, 0), clips.length - 1)]?.focus();
    return;
  }
  const key = event.key.toLowerCase();
  if (key === "u") shelf.querySelector("#undo")?.click();
  else if (here && key === "p") here.querySelector(".play").click();
  else if (here && (key === "r" || key === "a")) here.querySelector(`[data-key="${key}"]`)?.click();
});
