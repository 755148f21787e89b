/** A site of https for www.example.com, whose certificate has expired after SIGUSR2. Argument: address. Ends with its parent. */
import { createServer } from 'node:https'
import { expired, good } from '../../support/certificates.ts'

const server = createServer(good, (_, response) => response.end('well\n'))
process.on('SIGUSR2', () => server.setSecureContext(expired))
server.listen(443, process.argv[2], () => process.stdout.write('listening\n'))
process.stdin.resume()
process.stdin.once('close', () => process.exit())
