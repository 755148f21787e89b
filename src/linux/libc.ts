/**
 * The C library, through koffi: loaded by whoever needs it, when they do. A thread that is terminated while it loads koffi takes
 * the process with it.
 */
import { getSystemErrorName } from 'node:util'

/** Rejects where koffi can't be loaded. */
export async function loadLibc() {
  const { default: koffi } = await import('koffi')
  return {
    libc: koffi.load(null),
    /** Of the last call that returned −1. */
    errno: (): number => koffi.errno(),
    addressOf: (buffer: ArrayBuffer): number => Number(koffi.address(buffer)),
  }
}

/** `EADDRINUSE` and so on, of the last call that returned −1. */
export const errorName = (calls: { errno(): number }): string => getSystemErrorName(-calls.errno())
