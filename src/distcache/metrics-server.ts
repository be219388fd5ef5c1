import { createServer, type Server } from 'node:http';

/** Serves the text of metrics to Prometheus: `GET /metrics`, and nothing else. */
export function metricsServer(text: () => string | Promise<string>): Server {
  return createServer(async (request, response) => {
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    if (request.url !== '/metrics') response.writeHead(404).end('not found\n');
    else if (request.method !== 'GET') response.writeHead(405, { allow: 'GET' }).end('method not allowed\n');
    else response.end(await text());
  });
}
