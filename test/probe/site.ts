/**
 * A site for tests: `node site.ts ADDRESS PORT` serves /healthz there. It tells its parent `ready`; a message `drip` makes
 * its bodies endless, one byte at a time, and `well` heals it. Killing and stopping is the parent's.
 */
import { createServer } from 'node:http'

const [address, port] = process.argv.slice(2)
let drips = false
const server = createServer((_, response) => {
  response.on('error', () => {})
  if (drips) {
    response.write('w')
    const timer = setInterval(() => response.write('e'), 20)
    response.on('close', () => clearInterval(timer))
  } else response.end('well')
})
server.listen(Number(port), address, 4096, () => process.send?.('ready'))
process.on('message', (message) => (drips = message === 'drip'))
process.on('disconnect', () => process.exit())
