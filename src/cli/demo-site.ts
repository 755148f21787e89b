/**
 * A site of the demo: answers /healthz with 200, in a process of its own that can be killed or frozen. Started by
 * demo.ts with the arguments name, address, port. It ends with its parent: however that ends, the pipe on stdin closes.
 */
import { createServer } from 'node:http'

const [name, address, port] = process.argv.slice(2)
const server = createServer((request, response) => {
  response.statusCode = request.url === '/healthz' || request.url === '/' ? 200 : 404
  response.end(`${name}\n`)
})
server.on('error', (error) => {
  process.stderr.write(`site ${name}: ${error.message}\n`)
  process.stdin.destroy()
  process.exitCode = 1
})
server.listen(Number(port), address)
process.stdin.resume()
process.stdin.once('close', () => {
  server.close()
  server.closeAllConnections()
})
// Ctrl-C reaches the whole group; the parent decides when its sites end.
process.on('SIGINT', () => undefined)
