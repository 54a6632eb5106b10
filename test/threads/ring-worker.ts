import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type Duties, start } from './ring-traffic.ts';

const port = parentPort as MessagePort;
const done = () => port.postMessage('done');
const failed = (error: Error) => {
  throw error;
};
start(workerData as Duties, port, done, failed);
