// Files from elsewhere: dropped or chosen, and what became of each.
const form = document.getElementById("import"), drop = form.querySelector(".drop"), input = document.getElementById("files"), done = document.getElementById("done");

for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, event => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, event => { event.preventDefault(); drop.classList.remove("over"); });
drop.addEventListener("drop", event => { input.files = event.dataTransfer.files; });

form.addEventListener("taken", event => {
  const { took, refused, dataset } = event.detail, files = count => count === 1 ? "1 recording" : `${count} recordings`;
  done.hidden = false;
  done.querySelector("h2").textContent = `${files(took.length)} imported${refused.length ? `, ${refused.length} refused` : ""}`;
  const link = done.querySelector("a");
  link.textContent = `The clips of ${dataset}`;
  link.href = `/record/clips?${new URLSearchParams({ dataset })}`;
  done.querySelector("ul").replaceChildren(...refused.map(line => { const item = document.createElement("li"); item.textContent = line; return item; }));
  input.value = "";
});
