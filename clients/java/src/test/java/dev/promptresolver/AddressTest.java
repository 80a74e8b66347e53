package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("An address")
final class AddressTest {
  @Test
  @DisplayName("is the environment's, or the default")
  void find() {
    var told = Map.of("PROMPT_RESOLVER_ADDRESS", "unix:/run/prompt-resolver.sock");

    assertEquals("unix:/run/prompt-resolver.sock", Address.find(told));
    assertEquals("127.0.0.1:50051", Address.find(Map.of()));
    assertEquals("127.0.0.1:50051", Address.find(Map.of("PROMPT_RESOLVER_ADDRESS", "")));
  }

  @ParameterizedTest
  @ValueSource(strings = {"http://127.0.0.1:50051", "HTTPS://resolver.example"})
  @DisplayName("is none if it is a page's, and its password is not told")
  void page(String address) {
    var builder = PromptResolverClient.builder().address(address.replace("//", "//x:secret@"));

    var failure = assertThrows(IllegalArgumentException.class, builder::build);

    assertEquals(
        "expected HOST:PORT as the address, without http://", failure.getMessage());
  }

  @Test
  @DisplayName("of a server with another name needs TLS, without which the token could be read")
  void nameWithoutTls() {
    var builder = PromptResolverClient.builder().serverName("resolver.example").token("secret");

    assertThrows(IllegalStateException.class, builder::build);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "unix:/run/x.sock",
        "127.0.0.1:50051",
        "127.1.2.3:1",
        "localhost:50051",
        "LOCALHOST",
        "[::1]:50051",
        "dns:///localhost:50051",
        "dns:127.0.0.1:50051"
      })
  @DisplayName("is beside its caller: no proxy is asked")
  void beside(String address) {
    assertTrue(Address.isBeside(address));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"10.0.0.1:50051", "127.example:1", "localhost.example:1", "dns:///resolver:1"})
  @DisplayName("is elsewhere")
  void elsewhere(String address) {
    assertFalse(Address.isBeside(address));
  }
}
