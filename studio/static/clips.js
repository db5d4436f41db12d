// The gallery: keys, and filters that act at once. studio.js plays its clips.
import { refresh } from "./studio.js";

const shelf = document.getElementById("shelf");

shelf.addEventListener("taken", () => refresh(shelf));
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
