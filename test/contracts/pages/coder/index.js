const show = (text, className = '') =>
  log.append(Object.assign(document.createElement('p'), { innerText: text, className }));

function dial() {
  const socket = new WebSocket(`ws://${location.host}/subscribe`);
  socket.onclose = ({ code, reason }) => {
    show(`closed ${code} ${reason}`, 'system');
    if (code !== 1001) setTimeout(dial, 1000); // 1001 says that it will not come back
  };
  socket.onopen = () => show('connected', 'system');
  socket.onmessage = ({ data }) => {
    if (typeof data !== 'string') show('no text', 'system');
    else show(data);
  };
}
dial();

form.onsubmit = async (event) => {
  event.preventDefault();
  const said = text.value;
  if (said === '') return;
  text.value = '';
  const answer = await fetch('/publish', { method: 'POST', body: said });
  if (answer.status !== 202) show(`published with ${answer.status}`, 'system');
};
