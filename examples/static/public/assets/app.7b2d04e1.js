fetch("/api").then(response => response.json()).then(json => { document.getElementById("answer").textContent = json.hello; });
