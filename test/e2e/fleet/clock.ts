/**
 * Preloaded (`--import`) into a process whose wall clock shall be wrong, in all its threads: from given times on, Date is off
 * by given amounts. CLOCK: `unixMs:offMs[,unixMs:offMs…]`. The monotonic clock stays, as it does where a host's time is
 * set. Linux time namespaces can't do it: they leave the wall clock alone.
 */
const jumps = (process.env['CLOCK'] ?? '').split(',').map((jump) => jump.split(':').map(Number))
const RealDate = Date

function wrongNow(): number {
  const now = RealDate.now()
  const [, offMs = 0] = jumps.findLast(([fromMs = Infinity]) => fromMs <= now) ?? []
  return now + offMs
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [wrongNow()] : args, self),
  apply: () => new RealDate(wrongNow()).toString(),
  get: (target, key, self) => (key === 'now' ? wrongNow : Reflect.get(target, key, self)),
})
