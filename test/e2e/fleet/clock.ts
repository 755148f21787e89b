/**
 * Preloaded (`--import`) into a process whose wall clock shall be wrong, in all its threads: Date is off by as many ms as
 * stand in the file CLOCK_FILE, which is looked at ten times a second. The monotonic clock stays, as it does where a host's
 * time is set. Linux time namespaces can't do it: they leave the wall clock alone.
 */
import { readFileSync } from 'node:fs'

const file = process.env['CLOCK_FILE']!
const RealDate = Date
let offMs = 0
const look = (): void => {
  offMs = Number(readFileSync(file, 'utf8'))
}
look()
setInterval(look, 100).unref()

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [now()] : args, self),
  apply: () => new RealDate(now()).toString(),
  get: (target, key, self) => (key === 'now' ? now : Reflect.get(target, key, self)),
})

function now(): number {
  return RealDate.now() + offMs
}
