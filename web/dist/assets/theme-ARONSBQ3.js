{let t=null;try{t=localStorage.getItem("minimax-theme")}catch{}(t==="light"||t==="dark")&&(document.documentElement.dataset.theme=t)}
