/**
 * A prober's thread as it starts: `node trusting.ts ADDRESS PORT FILE…` trusts what the machine trusts, and the files, and
 * prints what a check of type https sees there.
 */
import { trustAuthorities } from '../../src/authorities.ts'
import { timing } from '../support/specs.ts'
import { runCheck } from './loopback.ts'

const [address = '', port, ...files] = process.argv.slice(2)
trustAuthorities(files)
const kind = { type: 'tls', host: 'www.example.com', verify: true } as const
const check = { ...timing, ...kind, port: Number(port), timeoutMs: 5000 }
const { reason } = await runCheck({ id: 't', check, address, port: Number(port), probers: 1 })
console.log(reason)
