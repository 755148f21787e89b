/**
 * A site of the demo: answers /healthz with 200 on one address, as a process of its own that can be killed or frozen.
 * Arguments: name, address, port. Ends with its parent, whose end of the pipe on stdin closes however the parent ends.
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
