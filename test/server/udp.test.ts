import { udpSuite } from './udp.suite.ts'

udpSuite('batched')
udpSuite('portable')
