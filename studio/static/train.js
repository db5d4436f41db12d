// The form of a training: finding a setting among many, counting those that were changed, another preset.
import { root } from "./studio.js";

const form = document.getElementById("training");
const find = document.getElementById("find");
const settings = [...form.querySelectorAll(".setting")];

find.addEventListener("input", () => {
  const words = find.value.toLowerCase().split(/[\s_]+/).filter(Boolean);
  let count = 0;
  for (const one of settings) {
    const text = one.dataset.setting.toLowerCase().replaceAll("_", " ");
    one.hidden = !words.every(word => text.includes(word));
    count += !one.hidden;
  }
  for (const section of form.querySelectorAll("details.section")) {
    section.hidden = !section.querySelector(".setting:not([hidden])");
    section.open = words.length > 0 && !section.hidden;
  }
  document.getElementById("find-help").textContent = words.length ? `${count} of ${settings.length} settings` : "";
});

function countChanged() {
  for (const section of form.querySelectorAll("details.section")) {
    const changed = [...section.querySelectorAll("[data-default]")].filter(one => one.value.trim() !== one.dataset.default).length;
    section.querySelector("[data-changed]").textContent = changed ? `${changed} changed` : "";
  }
}
form.addEventListener("input", countChanged);
countChanged();

// Another preset has other values: what was changed by hand stays, all else is the new preset's.
const preset = document.getElementById("preset");
async function follow() {
  const answer = await fetch(`${root}/train/new?preset=${encodeURIComponent(preset.value)}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const one of form.querySelectorAll("[data-default]")) {
    const value = fresh.getElementById(one.id)?.dataset.default ?? one.dataset.default;
    if (one.value.trim() === one.dataset.default) one.value = value;
    one.dataset.default = value;
  }
  document.getElementById("the-command").replaceWith(fresh.getElementById("the-command"));
  countChanged();
}
preset.addEventListener("change", follow);
// Chosen before this script came, or kept by the browser.
if (!preset.selectedOptions[0].defaultSelected) follow();
