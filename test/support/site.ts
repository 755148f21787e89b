/**
 * A site whose health a test turns: 200 on /healthz and /ready, 404 elsewhere; after SIGUSR2 its body drips, one byte in
 * 100 ms without an end, and after another one it is well again. Arguments: address, port. Ends with its parent.
 */
import { createServer } from 'node:http'

const [address, port] = process.argv.slice(2)
let dripping = false
process.on('SIGUSR2', () => {
  dripping = !dripping
})

const server = createServer((request, response) => {
  if (!dripping) {
    response.statusCode = /^\/(healthz|ready)(\?|$)/.test(request.url!) ? 200 : 404
    response.end('well\n')
    return
  }
  response.writeHead(200)
  const drip = setInterval(() => response.write('.'), 100)
  response.once('close', () => clearInterval(drip))
})
server.listen(Number(port), address, () => process.stdout.write('listening\n'))
process.stdin.resume()
process.stdin.once('close', () => {
  server.close()
  server.closeAllConnections()
})
