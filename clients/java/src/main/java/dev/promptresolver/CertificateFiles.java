package dev.promptresolver;

import io.grpc.util.AdvancedTlsX509KeyManager;
import java.io.IOException;
import java.net.Socket;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedKeyManager;

/**
 * A client's own certificate and its key, which is PKCS#8, in files that are read again for each
 * connection. While they cannot be, the last ones stay.
 */
final class CertificateFiles extends X509ExtendedKeyManager {
  private final AdvancedTlsX509KeyManager last = new AdvancedTlsX509KeyManager();
  private final Path certificateFile;
  private final Path keyFile;

  CertificateFiles(Path certificateFile, Path keyFile)
      throws IOException, GeneralSecurityException {
    this.certificateFile = certificateFile;
    this.keyFile = keyFile;
    read();
  }

  private void read() throws IOException, GeneralSecurityException {
    last.updateIdentityCredentials(certificateFile.toFile(), keyFile.toFile());
  }

  /** Every connection over which the server asks for a certificate begins here. */
  @Override
  public String chooseEngineClientAlias(String[] keyTypes, Principal[] issuers, SSLEngine engine) {
    try {
      read();
    } catch (IOException | GeneralSecurityException | IllegalArgumentException beingReplaced) {
      // The server refuses a pair that is too old, and the next connection reads again.
    }
    return last.chooseEngineClientAlias(keyTypes, issuers, engine);
  }

  @Override
  public X509Certificate[] getCertificateChain(String alias) {
    return last.getCertificateChain(alias);
  }

  @Override
  public PrivateKey getPrivateKey(String alias) {
    return last.getPrivateKey(alias);
  }

  @Override
  public String[] getClientAliases(String keyType, Principal[] issuers) {
    return last.getClientAliases(keyType, issuers);
  }

  @Override
  public String chooseClientAlias(String[] keyTypes, Principal[] issuers, Socket socket) {
    return last.chooseClientAlias(keyTypes, issuers, socket);
  }

  @Override
  public String[] getServerAliases(String keyType, Principal[] issuers) {
    return last.getServerAliases(keyType, issuers);
  }

  @Override
  public String chooseServerAlias(String keyType, Principal[] issuers, Socket socket) {
    return last.chooseServerAlias(keyType, issuers, socket);
  }
}
