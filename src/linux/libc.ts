/**
 * The C library, through koffi. It is loaded only where it is needed. A thread must not be terminated while it loads
 * koffi: that crashes the process.
 */
import { getSystemErrorName } from 'node:util'

/** Loads the C library. Rejects when koffi cannot be loaded. */
export async function loadLibc() {
  const { default: koffi } = await import('koffi')
  return {
    libc: koffi.load(null),
    /** The error number of the last call that returned −1. */
    errno: (): number => koffi.errno(),
    addressOf: (buffer: ArrayBufferLike): number => Number(koffi.address(buffer)),
  }
}

/** Name of the error of the last call that returned −1, such as `EADDRINUSE`. */
export const errorName = (calls: { errno(): number }): string => getSystemErrorName(-calls.errno())
