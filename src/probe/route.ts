/**
 * Whether this host has a route to an address: connecting a UDP socket asks the kernel's routing table and sends nothing.
 * It tells "network unreachable" from a router far away (the site's prefix is gone) from having no way out here.
 */
import { createSocket } from 'node:dgram'
import { familyOf } from '../dns/address.ts'

export function hasRoute(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(familyOf(address) === 4 ? 'udp4' : 'udp6')
    const end = (routed: boolean) => {
      socket.removeAllListeners()
      socket.on('error', () => {}) // a late one says nothing more
      socket.close()
      resolve(routed)
    }
    socket.once('error', () => end(false))
    socket.connect(9, address, (error?: Error) => end(error === undefined))
  })
}
