import { describe, expect, test } from 'vitest';
import { addressFilter } from '../../src/webhooks/addresses.ts';

const PRIVATE = [
  '0.0.0.0',
  '10.0.0.1',
  '100.64.0.1',
  '100.100.100.200', // metadata of Alibaba Cloud
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16', // the host of Azure
  '169.254.169.254', // metadata of most clouds
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192', // metadata of Oracle Cloud
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:0a00:0001',
  '0:0:0:0:0:ffff:169.254.169.254',
  '64:ff9b::10.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::1',
  '100::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::',
  'fc00::1',
  'fd00:ec2::254', // metadata of AWS
  'fdff::1',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
];

const PUBLIC = [
  '1.1.1.1',
  '100.63.255.255',
  '100.128.0.1',
  '126.255.255.255',
  '128.0.0.1',
  '169.253.1.1',
  '172.15.255.255',
  '172.32.0.1',
  '192.169.0.1',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '2a00:1450:4001:82a::200e',
  '::ffff:1.1.1.1',
  '64:ff9b::1.1.1.1',
];

describe('the filter of addresses', () => {
  test.each(PRIVATE)('refuses %s', (address) => {
    expect(addressFilter(false)(address)).toBe(false);
    expect(addressFilter([])(address)).toBe(false);
    expect(addressFilter(true)(address)).toBe(true);
  });

  test.each(PUBLIC)('allows %s', (address) => {
    expect(addressFilter(false)(address)).toBe(true);
  });

  test('allows the private networks that are named, and no others', () => {
    const allows = addressFilter(['10.1.0.0/16', '192.168.0.7', 'fd00:1::/32']);
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '192.168.0.7', 'fd00:1::9', '1.1.1.1']) {
      expect([address, allows(address)]).toEqual([address, true]);
    }
    for (const address of ['10.2.0.1', '192.168.0.8', 'fd00:2::9', '127.0.0.1']) {
      expect([address, allows(address)]).toEqual([address, false]);
    }
  });

  test.each(['', 'localhost', '1.2.3', '::g'])('refuses %j, which is no address', (text) => {
    for (const allowed of [false, true, ['0.0.0.0/0']]) expect(addressFilter(allowed)(text)).toBe(false);
  });
});
