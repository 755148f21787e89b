/**
 * Whether this host has a route to an address: connecting a UDP socket consults the kernel's routing table and sends
 * nothing. It tells a "network unreachable" from a remote router (the site's prefix is withdrawn) from a host without a
 * route.
 */
import { createSocket } from 'node:dgram'
import { familyOf } from '../dns/address.ts'

/** Whether the kernel has a route to the address. Never rejects. */
export function hasRoute(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(familyOf(address) === 4 ? 'udp4' : 'udp6')
    const end = (routed: boolean) => {
      socket.removeAllListeners()
      socket.on('error', () => {}) // a late error changes nothing
      socket.close()
      resolve(routed)
    }
    socket.once('error', () => end(false))
    socket.connect(9, address, (error?: Error) => end(error === undefined))
  })
}
