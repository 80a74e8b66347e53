package dev.promptresolver;

import io.grpc.Metadata;

/** A header of a call. What gRPC would leave out of the call is refused, and never shown. */
final class Header {
  private Header() {}

  /** Returns a header's key by its name, in any case. */
  static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  /**
   * Tells whether a value may travel. Without this, gRPC drops one that may not, and logs it: a
   * call would be made as if its caller had no key.
   */
  static boolean isPrintable(String value) {
    return value.chars().allMatch(each -> 0x20 <= each && each <= 0x7e);
  }
}
