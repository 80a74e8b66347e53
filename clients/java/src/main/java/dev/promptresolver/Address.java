package dev.promptresolver;

import java.util.Map;
import java.util.regex.Pattern;

/** Where the service is. */
final class Address {
  private static final String VARIABLE = "PROMPT_RESOLVER_ADDRESS";
  private static final String DEFAULT = "127.0.0.1:50051";

  private static final Pattern PAGE = Pattern.compile("https?://", Pattern.CASE_INSENSITIVE);

  private static final Pattern BESIDE =
      Pattern.compile(
          "unix:.*|(dns:(//[^/]*/)?)?(localhost|127(\\.\\d{1,3}){3}|\\[::1\\])(:\\d+)?",
          Pattern.CASE_INSENSITIVE);

  private Address() {}

  /** Returns the address for those who are not told one. */
  static String find(Map<String, String> environment) {
    var address = environment.getOrDefault(VARIABLE, "");
    return address.isEmpty() ? DEFAULT : address;
  }

  /** Refuses a page's address, of which gRPC tells only that it lacks a resolver. */
  static String check(String address) {
    if (PAGE.matcher(address).lookingAt()) {
      throw new IllegalArgumentException("expected HOST:PORT as the address, without http://");
    }
    return address;
  }

  /** Tells whether a service is on this machine: behind a socket, or on loopback. */
  static boolean isBeside(String address) {
    return BESIDE.matcher(address).matches();
  }
}
