// The list of results: two or more are compared.
const form = document.getElementById("choice"), button = document.getElementById("compare");
if (button) {
  const chosen = () => { const count = form.querySelectorAll("input:checked").length; button.disabled = count < 2; document.getElementById("compare-help").textContent = count < 2 ? "Choose two or more." : `${count} chosen.`; };
  form.addEventListener("change", chosen);
  chosen();
}
