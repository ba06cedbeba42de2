// Follows a job with the real Socket.IO client, as the document shows it; each event is a line of JSON.
// node follow.mjs FOLDER_OF_NODE_MODULES URL JOB_ID TOKEN TRANSPORT ORIGIN
import { createRequire } from "node:module";

const [folder, url, jobId, token, transport, origin] = process.argv.slice(2);
const { io } = createRequire(`${folder}/package.json`)("socket.io-client");
const say = (event, data) => console.log(JSON.stringify([event, data]));
const socket = io(`${url}/progress`, {
  auth: token ? { token } : undefined,
  transports: transport ? [transport] : undefined,
  extraHeaders: origin ? { Origin: origin } : undefined,
  reconnection: false,
  timeout: 60000,
});
const end = () => { socket.close(); process.exit(0); };

socket.on("connect", () => { say("connect", socket.io.engine.transport.name); socket.emit("subscribe", { job_id: jobId }, (answer) => say("ack", answer)); });
socket.on("connect_error", (error) => { say("connect_error", error.message); end(); });
socket.on("progress", (data) => say("progress", data));
socket.on("completed", (data) => { say("completed", data); setTimeout(end, 200); });
socket.on("error", (data) => { say("error", data); setTimeout(end, 200); });
