// Files from elsewhere: dropped or chosen, sent in parts, and what became of each.
import { ask, root, showFaults } from "./studio.js";

const form = document.getElementById("import"), drop = form.querySelector(".drop"), input = document.getElementById("files"), done = document.getElementById("done"), going = document.getElementById("going");
// A field is called "dataset" and hides the form's own.
const [most, partBytes, partFiles] = ["most", "part", "files"].map(name => Number(form.getAttribute(`data-${name}`)));
const counted = count => count === 1 ? "1 recording" : `${count} recordings`;

for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, event => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, event => { event.preventDefault(); drop.classList.remove("over"); });
drop.addEventListener("drop", event => { input.files = event.dataTransfer.files; });

/** The first files that go into one request together. */
function nextPart(files) {
  let bytes = 0, count = 0;
  while (count < files.length && count < partFiles && (!count || bytes + files[count].size <= partBytes)) bytes += files[count++].size;
  return files.splice(0, count);
}

function show({ took, refused, dataset }) {
  done.hidden = false;
  done.querySelector("h2").textContent = `${counted(took.length)} imported${refused.length ? `, ${refused.length} refused` : ""}`;
  const link = done.querySelector("a");
  link.textContent = dataset ? `The clips of ${dataset}` : "";
  link.href = `${root}/record/clips?${new URLSearchParams({ dataset })}`;
  done.querySelector("ul").replaceChildren(...refused.map(line => { const item = document.createElement("li"); item.textContent = line; return item; }));
}

form.addEventListener("submit", async event => {
  event.preventDefault();
  event.stopPropagation();
  const button = event.submitter ?? form.querySelector("button"), chosen = [...input.files], waiting = chosen.filter(one => one.size <= most);
  const became = { took: [], refused: chosen.filter(one => one.size > most).map(one => `${one.name}: larger than ${most / 1048576} MiB; copy it into the dataset's folder instead`), dataset: "" };
  const all = waiting.length;
  done.hidden = true;
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    while (waiting.length || !chosen.length) {
      const body = new FormData(form);
      body.delete("files");
      for (const one of nextPart(waiting)) body.append("files", one);
      const answer = await ask(form.getAttribute("data-post"), { method: "POST", body });
      became.took.push(...answer.took); became.refused.push(...answer.refused); became.dataset = answer.dataset;
      if (waiting.length) going.textContent = `${all - waiting.length} of ${all}`;
    }
    showFaults(form, {});
    input.value = "";
    show(became);
  } catch (error) {
    showFaults(form, error.errors ?? { "": "The studio does not answer." });
    if (became.took.length || became.refused.length) show(became);
  } finally {
    going.textContent = "";
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
});
